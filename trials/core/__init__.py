"""The training core that recipes share: pure parts that need torch and numpy alone."""
