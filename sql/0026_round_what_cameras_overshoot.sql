-- A share that a camera computes in single precision may come as 1.0000001, and its person was refused, not counted. What two
-- decimals round into the range is rounded; the condition keeps all other rows from paying for it.

create function round_to_bounds() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_table_name = 'people_movements' then
        new.confidence_score := round(new.confidence_score::numeric, 2);
    elsif tg_table_name = 'sessions' then
        new.confidence_threshold := round(new.confidence_threshold::numeric, 2);
    else
        new.cpu_usage_percentage := round(new.cpu_usage_percentage::numeric, 2);
    end if;
    return new;
end
$$;
revoke execute on function round_to_bounds from public;

create trigger people_movements_round before insert or update on people_movements for each row
    when (new.confidence_score > 1 or new.confidence_score < 0) execute function round_to_bounds();
create trigger sessions_round before insert or update on sessions for each row
    when (new.confidence_threshold > 1 or new.confidence_threshold < 0) execute function round_to_bounds();
create trigger realtime_metrics_round before insert or update on realtime_metrics for each row
    when (new.cpu_usage_percentage > 100 or new.cpu_usage_percentage < 0) execute function round_to_bounds();
