"""The commands, run on the user's machine or as a job: what is read of their lines, what they print, and a sweep."""
