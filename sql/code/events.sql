-- The outbox: what happened, for workers that tell other systems (CONTRACT section 6).

CREATE FUNCTION referral.emit_event(program_id bigint, kind text, subject_id bigint, state text)
    RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO referral.event_pending (program_id, kind, subject_id, state, created_at)
    SELECT p.program_id, emit_event.kind, emit_event.subject_id, emit_event.state,
           statement_timestamp()
      FROM referral.program p
     WHERE p.program_id = emit_event.program_id AND p.event_days IS NOT NULL;
END
$$;
COMMENT ON FUNCTION referral.emit_event(bigint, text, bigint, text) IS
'Leaves an event for next_events() to number, where the program keeps events.
kind and subject_id: as table event_pending says; state: what the subject moved to.';
