with conventions as (

    select * from {{ ref('stg_lake__level_band') }}

),

last_snapshots as (

    select * from {{ ref('int_session_last_snapshots__selected') }}

),

ours as (

    select * from conventions
    where variant = 'base'

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            conventions.underlying,
            strftime(conventions.event_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ'),
            conventions.model,
            conventions.variant
        ) as flip_convention_id,
        concat_ws('|', conventions.underlying, conventions.session_date) as session_id,
        conventions.underlying,
        conventions.session_date,
        conventions.event_at,
        conventions.known_at,
        conventions.model,
        last_snapshots.event_at is not null as is_session_last,

        -- convention
        conventions.variant,
        conventions.axis,
        conventions.in_convention_band,
        conventions.in_inferred_band,
        conventions.contracts,

        -- levels
        conventions.flip_price,
        conventions.flip_status,
        conventions.net_gamma_exposure_usd_per_pct,
        conventions.gross_gamma_exposure_usd_per_pct,
        conventions.call_wall,
        conventions.put_wall,

        -- against ours
        conventions.flip_price - ours.flip_price as flip_difference_usd,
        conventions.flip_price / ours.flip_price - 1 as flip_difference_pct,
        conventions.net_gamma_exposure_usd_per_pct
        - ours.net_gamma_exposure_usd_per_pct as net_gamma_difference_usd_per_pct,
    from conventions
    left join ours
        on conventions.underlying = ours.underlying
        and conventions.session_date = ours.session_date
        and conventions.event_at = ours.event_at
        and conventions.model = ours.model
    left join last_snapshots
        on conventions.underlying = last_snapshots.underlying
        and conventions.session_date = last_snapshots.session_date
        and conventions.event_at = last_snapshots.event_at
        and conventions.model = last_snapshots.model

)

select * from final
