"""What a language model is asked for: recipes as files, their slots, prompts, answers and checks."""
