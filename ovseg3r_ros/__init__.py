"""The ROS 2 package: thin nodes round `ovseg3r_core`, and the interfaces that rosidl generates."""

from pkgutil import extend_path

# In a checkout this folder shadows the installed package, which holds the generated msg and srv.
__path__ = extend_path(__path__, __name__)
