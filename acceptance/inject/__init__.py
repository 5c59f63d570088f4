"""The acceptance experiment of `inject`: facts put into a model that polylore trained itself."""
