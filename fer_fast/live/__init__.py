"""What is live: a camera, a stream or a pipe comes in; the newest frame and the faces in it go out."""
