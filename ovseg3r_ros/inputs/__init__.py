"""What comes in: images paired by stamp, poses at their time, and a count with a reason for all that is not used."""
