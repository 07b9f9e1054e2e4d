with source as (

    select * from {{ source('lake', 'pin_levels') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,

        -- what it tells
        strike,
        spot,
        position_contracts,
        gamma_exposure_usd_per_pct,
        reach_share,
        reach_source,
        proximity,
        time_weight,
        pin_force_usd_per_pct,
        pin_direction,
        pin_strength,
        strength_rank,
        is_pin,
        pin_rank,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
