"""The whole method on an analytic room with exact masks: frames in, the true objects out."""


