"""The training core: pure parts that two recipes or more use. They need torch and numpy alone, and know no study."""
