"""The study `patch`: when does a shared concept space emerge, shown causally?"""
