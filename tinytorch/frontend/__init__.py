"""What users write against: one file per module of the course, in its order."""
