"""What is put before a model, made with its tokenizer alone."""
