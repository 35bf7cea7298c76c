mod decode;
mod properties;
mod vectors;
mod verify;
