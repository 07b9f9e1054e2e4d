with pins as (

    select * from {{ ref('stg_lake__pin_levels') }}

),

last_snapshots as (

    select * from {{ ref('int_session_last_snapshots__selected') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            pins.underlying,
            strftime(pins.event_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'),
            pins.model,
            pins.strike
        ) as pin_level_id,
        concat_ws('|', pins.underlying, pins.session_date) as session_id,
        pins.underlying,
        pins.session_date,
        pins.event_at,
        pins.known_at,
        pins.model,
        last_snapshots.event_at is not null as is_session_last,

        -- what it tells
        pins.strike,
        pins.spot,
        pins.position_contracts,
        pins.gamma_exposure_usd_per_pct,
        pins.reach_share,
        pins.reach_source,
        pins.proximity,
        pins.time_weight,
        pins.pin_force_usd_per_pct,
        pins.pin_direction,
        pins.pin_strength,
        pins.strength_rank,
        pins.is_pin,
        pins.pin_rank,
    from pins
    left join last_snapshots
        on pins.underlying = last_snapshots.underlying
        and pins.session_date = last_snapshots.session_date
        and pins.model = last_snapshots.model
        and pins.event_at = last_snapshots.event_at
    -- every strike of the last word, and the pins of all others
    where pins.is_pin or last_snapshots.event_at is not null

)

select * from final
