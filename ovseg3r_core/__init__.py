"""Open-vocabulary 3D object mapping from colour, depth and poses; no ROS inside."""
