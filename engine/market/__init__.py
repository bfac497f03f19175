"""What an instrument does beyond plain continuous trading: phases, waiting orders, auctions."""
