"""What a hostile user of the host may try: nobody else notices."""
