"""A run of a job from its begin to its safeset, broken off and gone on with."""
