with source as (

    select * from {{ source('lake', 'dealer_exposure') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,
        symbol,
        root,

        -- contract
        expiry_date,
        expires_at,
        strike,
        "right",
        dte_bucket,

        -- position and exposures
        spot,
        position_contracts,
        position_sd_contracts,
        delta_exposure_usd,
        gamma_exposure_usd_per_pct,
        vanna_exposure_usd_per_vol_pt,
        charm_exposure_usd_per_day,
        volga_exposure_usd_per_vol_pt2,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
