"""The simulator: a whole durable venue in one process, with every fault that a seed can think of.

The stages are the compiled ones, over real rings in private memory; the clock, the disk, the
scheduler and the clients are made here, from one seed. A run is a safety phase full of faults and
a phase without any, in which everything must come to an end. Then the whole history is judged:
against what clients were told, against the journal derived again, and against the naive twin.
"""
