"""The Ray Serve application: deployments, their calls, control and start."""
