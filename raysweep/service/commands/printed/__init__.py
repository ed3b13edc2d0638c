"""What a run prints besides its tables: times, the lines that open results, the commands that repeat trials."""
