"""A checkpoint over new bags: probabilities, segments, pictures."""
