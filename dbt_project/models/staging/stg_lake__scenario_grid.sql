with source as (

    select * from {{ source('lake', 'scenario_grid') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,

        -- cell
        spot,
        hours_ahead,
        vol_shift_points,
        spot_shift_pct,

        -- book in the cell
        delta_exposure_usd,
        gamma_exposure_usd_per_pct,
        expired_contracts,
        floored_contracts,

        -- flow
        forced_flow_usd,
        gamma_flow_usd,
        vanna_flow_usd,
        charm_flow_usd,
        residual_flow_usd,
        expired_flow_usd,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
