"""The study `inject`: how a model in training picks up facts, and loses them again."""
