"""What people are shown: records, tables and their statistics, pictures, a page; and the facts beside a number."""
