"""Headers of every answer: the pages load nothing from elsewhere and run no inline script."""

from __future__ import annotations

POLICY = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' data: blob:",  # overlays come as data, a chosen picture is a blob
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
RAW = [(name.lower().encode(), value.encode()) for name, value in POLICY.items()]
