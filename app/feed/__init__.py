"""The live path: change log → Listener → Hub → subscriptions → clients. Knows no Flask and no REST."""
