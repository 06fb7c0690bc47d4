"""What the log says to SQLite, once the schema is there (`schema`)."""

from __future__ import annotations

# `{}` stands for the rows: one statement for the common case, where key and id are new.
# The facts of a claim stand in the order of `Claim`, so that no row has to be put in another.
NEW_CLAIMS = """
    INSERT INTO deliveries (id, channel, purpose, recipient, recipient_hash, body_hash, started_at,
        key_hash, segments, attempts, run, status, logged, costed)
    VALUES {} ON CONFLICT (id) DO NOTHING
"""
NEW_CLAIM_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 'pending', 1, 0)"
NEW_CLAIMS_UNDER_KEYS = """
    INSERT INTO deliveries (id, channel, purpose, recipient, recipient_hash, body_hash, started_at,
        key_hash, segments, attempts, run, status, logged, costed)
    SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9,
        column10, 1, 'pending', 1, 0
    FROM (VALUES {}) WHERE NOT EXISTS
        (SELECT 1 FROM deliveries WHERE key_hash = column8 AND started_at > column11)
    ON CONFLICT (id) DO NOTHING
"""
NEWEST = "SELECT id FROM deliveries ORDER BY number DESC LIMIT ?"
CLAIM_AGAIN = """
    UPDATE deliveries SET run = run + 1, status = 'pending', channel = ?, purpose = ?,
        recipient = ?, recipient_hash = ?, body_hash = ?, started_at = ?, key_hash = ?,
        segments = ?, attempts = ?, ended_at = NULL, reason = NULL, retry_after = NULL,
        logged = 1, costed = 0
    WHERE number = ?
"""
BY_KEY = """
    SELECT * FROM deliveries WHERE key_hash = ? AND started_at > ?
    ORDER BY started_at DESC LIMIT 1
"""
BY_ID = "SELECT * FROM deliveries WHERE id = ?"
PENDING = "SELECT * FROM deliveries WHERE status = 'pending'"
# One row alone is changed in two thirds of the time where no rows have to be joined.
SENDING_ONE = """
    UPDATE deliveries SET attempts = ? WHERE id = ? AND run = ? AND status = 'pending'
"""
SENDING = """
    UPDATE deliveries SET attempts = column1 FROM (VALUES {})
    WHERE id = column2 AND run = column3 AND status = 'pending'
"""
END_ONE = """
    UPDATE deliveries
    SET status = ?, ended_at = ?, reason = ?, retry_after = ?, logged = ?, attempts = ?
    WHERE id = ? AND run = ?
"""
END = """
    UPDATE deliveries
    SET status = column1, ended_at = column2, reason = column3, retry_after = column4,
        logged = column5, attempts = column6
    FROM (VALUES {}) WHERE id = column7 AND run = column8
"""
WITHDRAW = """
    UPDATE deliveries
    SET status = ?, ended_at = started_at, reason = ?, attempts = '[]'
    WHERE id = ? AND run = ? AND status = 'pending'
"""
KEEP_RUN = "INSERT OR REPLACE INTO earlier_runs VALUES (?, ?, ?)"
FROM_THE_FUTURE = """
    UPDATE deliveries SET started_at = ?1, ended_at = ended_at - (started_at - ?1)
    WHERE started_at > ?1
"""
OLD = """
    SELECT number, started_at FROM deliveries WHERE started_at < ? AND status <> 'pending'
    ORDER BY started_at, number LIMIT ?
"""
