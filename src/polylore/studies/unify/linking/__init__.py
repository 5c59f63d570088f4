"""`unify link`: do the scores of real models go with accuracy across languages?"""
