"""One run on several devices: how many processes it has, how they are started, and what each of them does."""
