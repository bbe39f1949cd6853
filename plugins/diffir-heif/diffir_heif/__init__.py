"""HEIC for diffir: pictures are written; diffir itself reads them."""
