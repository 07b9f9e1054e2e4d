with source as (

    select * from {{ source('lake', 'contract_features') }}

),

renamed as (

    select
        -- identity
        underlying,
        symbol,
        root,
        expiry_date,
        expires_at,
        strike,
        "right",

        -- poll
        is_simulated,
        slot,
        previous_at,
        interval_minutes,

        -- place
        spot,
        moneyness,
        days_to_expiry,
        moneyness_bucket,
        dte_bucket,
        multiplier,

        -- state
        mid,
        spread_usd,
        implied_vol,
        surface_vol,
        vega_usd_per_vol_point,
        open_interest_contracts,

        -- volume
        volume_delta_contracts,
        session_volume_contracts,
        package_contracts,

        -- features
        volume_contracts_netted,
        premium_usd,
        vega_traded_usd_per_vol_point,
        premium_over_vega,
        volume_over_open_interest,
        open_interest_change_contracts,
        iv_residual_half_spreads,
        spread_relative,
        open_probability,
        flow_imbalance,
        sweep_share,
        burst_share,

        -- why not scored
        unscored_reason,
        withheld_reason,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
