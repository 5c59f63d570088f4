"""Models asked about invented facts: does what was taught in one language pass to another?"""
