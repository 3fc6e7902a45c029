"""Text → chunks of tokens, for any data set: hashed words without anything fitted, or a tokenizer's word pieces."""
