"""The planning driver: what is missing of a plan, in packs, handed to actors within a budget, whatever is lost."""
