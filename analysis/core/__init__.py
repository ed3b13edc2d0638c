"""The drawing kit: panels, curves, diagrams and pages of stored trials, and the statistics that they show.

What the figures of two studies use belongs here; what one alone uses lies in that study's own package. The kit reads
the store and knows no study.
"""
