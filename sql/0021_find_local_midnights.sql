-- A local midnight that comes twice, as in the Azores when clocks are set back from 01:00 to 00:00, used to be found at its
-- second coming: the day lacked its first hour. A day begins when its date is first shown.

create function local_midnight(day timestamp, zone text) returns timestamptz
language sql stable as $$
    select case when earlier at time zone zone = day then least(earlier, usual) else usual end
    from (select day at time zone zone as usual) as u,
         -- The same wall clock with the offset of six hours before.
         lateral (select (day - ((usual - interval '6 hours') at time zone zone
                                 - (usual - interval '6 hours') at time zone 'UTC')) at time zone 'UTC' as earlier) as e
$$;

-- The start of the hour, day or week of a moment, in a zone.
create function local_start(unit text, moment timestamptz, zone text) returns timestamptz
language sql stable as $$
    select case when unit in ('day', 'week') then local_midnight(date_trunc(unit, moment at time zone zone), zone)
                else date_trunc(unit, moment, zone) end
$$;
revoke execute on function local_midnight, local_start from public;
