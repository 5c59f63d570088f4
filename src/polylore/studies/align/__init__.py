"""The study `align`: performance, consistency and conductivity across languages."""
