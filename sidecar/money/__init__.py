"""What messages cost: amounts, the books, budgets, and what a month would come to."""
