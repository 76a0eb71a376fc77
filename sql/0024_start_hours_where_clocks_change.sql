-- Where clocks change by half an hour, as on Lord Howe Island, an hour of the wall clock begins or ends at the change; its
-- start used to be given as if the change had been before.
create or replace function local_start(unit text, moment timestamptz, zone text) returns timestamptz
language sql stable as $$
    select case
        when unit in ('day', 'week') then local_midnight(date_trunc(unit, moment at time zone zone), zone)
        when (start at time zone zone) - (start at time zone 'UTC') = (moment at time zone zone) - (moment at time zone 'UTC')
            then start
        else coalesce((select min(later) from generate_series(start, moment, interval '15 minutes') as later
                       where (later at time zone zone) - (later at time zone 'UTC')
                           = (moment at time zone zone) - (moment at time zone 'UTC')), start) end
    from (select date_trunc(unit, moment, zone) as start) as s
$$;
