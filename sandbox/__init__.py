"""Stand-ins for the outside services (WAHA, Convex, Clerk, …) in their own shapes, with faults on demand."""
