"""One run and many: condition, folder, owner, attempt, study."""
