"""The tables and figures of a paper, remade: a plan of trainings, what carries it out, and what comes of it."""
