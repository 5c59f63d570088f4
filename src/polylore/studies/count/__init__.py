"""The study `count`: how often does a corpus express each fact, in which languages, when?"""
