"""Commands for people: what is typed at a prompt, and what it prints."""
