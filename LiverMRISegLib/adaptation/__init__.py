"""A model that goes on learning from masks that people have corrected."""
