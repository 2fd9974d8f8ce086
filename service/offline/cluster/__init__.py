"""Workers in processes and on machines of their own, which may die."""
