-- Triggers, replaced by each install(). The engine writes its tables past
-- triggers, so these see only what people and applications write.

CREATE OR REPLACE TRIGGER number BEFORE INSERT ON referral.program
    FOR EACH ROW EXECUTE FUNCTION referral.number_program();
CREATE OR REPLACE TRIGGER protect BEFORE UPDATE ON referral.program
    FOR EACH ROW
    WHEN (OLD.program_id <> NEW.program_id OR OLD.currency <> NEW.currency
          OR OLD.time_zone <> NEW.time_zone)
    EXECUTE FUNCTION referral.protect_program();
CREATE OR REPLACE TRIGGER protect_delete BEFORE DELETE ON referral.program
    FOR EACH ROW EXECUTE FUNCTION referral.protect_program();
CREATE OR REPLACE TRIGGER make_salt AFTER INSERT ON referral.program
    FOR EACH ROW EXECUTE FUNCTION referral.make_salt();
CREATE OR REPLACE TRIGGER keep_auto_tiers AFTER UPDATE ON referral.program
    FOR EACH ROW WHEN (OLD.auto_tier <> NEW.auto_tier)
    EXECUTE FUNCTION referral.keep_auto_tiers();
-- By its name after keep_auto_tiers: it takes down how everybody stands.
CREATE OR REPLACE TRIGGER start_events AFTER UPDATE ON referral.program
    FOR EACH ROW WHEN (OLD.event_days IS NULL AND NEW.event_days IS NOT NULL)
    EXECUTE FUNCTION referral.start_events();
CREATE OR REPLACE TRIGGER move_funnel AFTER UPDATE ON referral.program
    FOR EACH ROW WHEN (OLD.time_zone <> NEW.time_zone)
    EXECUTE FUNCTION referral.move_funnel();

CREATE OR REPLACE TRIGGER stamp BEFORE INSERT OR UPDATE ON referral.program
    FOR EACH ROW EXECUTE FUNCTION referral.stamp_version();
CREATE OR REPLACE TRIGGER stamp BEFORE INSERT OR UPDATE ON referral.tier
    FOR EACH ROW EXECUTE FUNCTION referral.stamp_version();
CREATE OR REPLACE TRIGGER stamp BEFORE INSERT OR UPDATE ON referral.rate
    FOR EACH ROW EXECUTE FUNCTION referral.stamp_version();
CREATE OR REPLACE TRIGGER stamp BEFORE INSERT OR UPDATE ON referral.campaign
    FOR EACH ROW EXECUTE FUNCTION referral.stamp_version();
CREATE OR REPLACE TRIGGER stamp BEFORE INSERT OR UPDATE ON referral.review_rule
    FOR EACH ROW EXECUTE FUNCTION referral.stamp_version();

CREATE OR REPLACE TRIGGER history AFTER UPDATE OR DELETE ON referral.program
    FOR EACH ROW EXECUTE FUNCTION referral.keep_history();
CREATE OR REPLACE TRIGGER history AFTER UPDATE OR DELETE ON referral.tier
    FOR EACH ROW EXECUTE FUNCTION referral.keep_history();
CREATE OR REPLACE TRIGGER history AFTER UPDATE OR DELETE ON referral.rate
    FOR EACH ROW EXECUTE FUNCTION referral.keep_history();
CREATE OR REPLACE TRIGGER history AFTER UPDATE OR DELETE ON referral.campaign
    FOR EACH ROW EXECUTE FUNCTION referral.keep_history();
CREATE OR REPLACE TRIGGER history AFTER UPDATE OR DELETE ON referral.review_rule
    FOR EACH ROW EXECUTE FUNCTION referral.keep_history();

CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON referral.program
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();
CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON referral.tier
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();
CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON referral.rate
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();
CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON referral.campaign
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();
CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON referral.review_rule
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();

CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON referral.program
    FOR EACH STATEMENT EXECUTE FUNCTION referral.config_changed();
CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON referral.tier
    FOR EACH STATEMENT EXECUTE FUNCTION referral.config_changed();
CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON referral.rate
    FOR EACH STATEMENT EXECUTE FUNCTION referral.config_changed();
CREATE OR REPLACE TRIGGER changed AFTER INSERT OR UPDATE OR DELETE ON referral.campaign
    FOR EACH STATEMENT EXECUTE FUNCTION referral.config_changed();

CREATE OR REPLACE TRIGGER check_insert AFTER INSERT ON referral.tier
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION referral.check_tiers();
CREATE OR REPLACE TRIGGER check_update AFTER UPDATE ON referral.tier
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION referral.check_tiers();
CREATE OR REPLACE TRIGGER check_delete AFTER DELETE ON referral.tier
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION referral.check_tiers();

CREATE OR REPLACE TRIGGER protect BEFORE UPDATE ON referral.code
    FOR EACH ROW
    WHEN (OLD.program_id <> NEW.program_id OR OLD.code_id <> NEW.code_id
          OR OLD.user_id <> NEW.user_id OR OLD.code <> NEW.code OR OLD.kind <> NEW.kind
          OR OLD.campaign_id <> NEW.campaign_id OR OLD.used <> NEW.used)
    EXECUTE FUNCTION referral.protect_code();

-- A statement goes through the engine as a whole: before it, its rows are
-- marked as seen; after it, they are processed in their order.
CREATE OR REPLACE TRIGGER take_in_before BEFORE INSERT ON referral.payment
    FOR EACH STATEMENT EXECUTE FUNCTION referral.payment_before();
CREATE OR REPLACE TRIGGER take_in AFTER INSERT ON referral.payment
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION referral.payment_after();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON referral.payment
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();

CREATE OR REPLACE TRIGGER take_in_before BEFORE INSERT ON referral.refund
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refund_before();
CREATE OR REPLACE TRIGGER take_in AFTER INSERT ON referral.refund
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refund_after();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON referral.refund
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();
CREATE OR REPLACE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON referral.adjustment
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();
CREATE OR REPLACE TRIGGER protect BEFORE UPDATE OR DELETE ON referral.attribution_review
    FOR EACH ROW WHEN (OLD.decision IS NOT NULL) EXECUTE FUNCTION referral.refuse_change();
CREATE OR REPLACE TRIGGER no_truncate BEFORE TRUNCATE ON referral.attribution_review
    FOR EACH STATEMENT EXECUTE FUNCTION referral.refuse_change();
