"""The study `unify`: when do two languages share one fact?"""
