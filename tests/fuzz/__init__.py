"""The inputs that fuzzing kept."""
